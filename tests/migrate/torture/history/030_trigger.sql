create table audit (customer int, was text);
create function note() returns trigger language plpgsql as $$
begin
	insert into audit values (old.id, old.city);
	return new;
end
$$;
create trigger noted after update on customers for each row execute function note();
update customers set city = 'noted' where id between 30 and 60;
insert into tally values (30, 1);
