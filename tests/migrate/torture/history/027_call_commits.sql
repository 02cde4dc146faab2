create procedure fill(file int) language plpgsql as $$
begin
	for step in 1 .. 4 loop
		insert into tally values (file, step);
		perform pg_sleep(0.005);
		commit;
	end loop;
end
$$;
call fill(27);
insert into tally values (27, 9);
