drop index concurrently customers_email;
create index concurrently customers_email on customers (email, id);
insert into tally values (37, 1);
