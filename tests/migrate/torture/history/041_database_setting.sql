do $$
begin
	execute format('alter database %I set torture.mark = ''set''', current_database());
end
$$;
insert into tally values (41, 1);
