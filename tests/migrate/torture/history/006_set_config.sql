select set_config('search_path', 'app', false);
create table by_config (x int);
select pg_catalog.set_config('search_path', '', false);
insert into public.tally values (6, 1);
