create index concurrently on customers (name);
insert into tally values (11, 1);
create index concurrently on customers (name, city) where city <> 'x';
insert into tally values (11, 2);
-- The same once more: psql makes a second index.
create index concurrently on customers (name);
insert into tally values (11, 3);
