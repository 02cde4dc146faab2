set search_path = app;
create index concurrently made_x on made (x);
create table made_after (x int);
insert into public.tally values (14, 1);
create index concurrently on made (y);
create view made_view as select x from made;
