create index concurrently customers_email on customers (email);
insert into tally values (10, 1);
