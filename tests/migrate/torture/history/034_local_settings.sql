begin;
set local statement_timeout = '61s';
set local lock_timeout = '62s';
set local work_mem = '63MB';
insert into tally values (34, 1);
commit;
insert into tally select 34, 2 where current_setting('statement_timeout') <> '61s'
	and current_setting('lock_timeout') <> '62s' and current_setting('work_mem') <> '63MB';
set work_mem = '64MB';
vacuum tally;
insert into tally select 34, 3 where current_setting('work_mem') = '64MB';
