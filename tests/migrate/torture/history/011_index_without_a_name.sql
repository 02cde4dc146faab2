create index concurrently on customers (name);
insert into tally values (11, 1);
create index concurrently on customers (name, city);
insert into tally values (11, 2);
