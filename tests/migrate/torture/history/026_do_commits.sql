do $$
begin
	for step in 1 .. 4 loop
		insert into tally values (26, step);
		perform pg_sleep(0.005);
		commit;
	end loop;
end
$$;
