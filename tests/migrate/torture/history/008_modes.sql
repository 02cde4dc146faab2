begin read only;
do $$
begin
	if current_setting('transaction_read_only') <> 'on' then
		raise exception 'the frame is not read only';
	end if;
end
$$;
select count(*) from customers;
commit;
begin isolation level serializable;
insert into tally select 8, 1 where current_setting('transaction_isolation') = 'serializable';
commit;
start transaction isolation level repeatable read;
insert into tally select 8, 2 where current_setting('transaction_isolation') = 'repeatable read';
end;
insert into tally select 8, 3 where current_setting('transaction_isolation') = 'read committed';
