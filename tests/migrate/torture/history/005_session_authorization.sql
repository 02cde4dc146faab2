set session authorization torture_owner;
create table app.authorised (x int);
insert into public.tally values (5, 1);
reset session authorization;
create function app.now_ours() returns int language sql as 'select 5';
