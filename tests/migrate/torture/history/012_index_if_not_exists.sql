insert into tally values (12, 1);
create index concurrently if not exists customers_lower on customers (lower(email));
create index concurrently if not exists customers_lower on customers (lower(email));
insert into tally values (12, 2);
