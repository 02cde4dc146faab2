create table large (id int, text text);
insert into large select g, repeat('x', g % 40) from generate_series(1, 6000) g;
update large set text = text || 'y' where id % 3 = 0;
delete from large where id % 5 = 0;
insert into tally values (29, 1);
