set search_path = app, public;
create table made (x int, y int);
insert into made select g, -g from generate_series(1, 100) g;
insert into tally values (3, 1);
