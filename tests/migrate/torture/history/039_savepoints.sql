begin;
savepoint one;
insert into tally values (39, 1);
rollback to savepoint one;
insert into tally values (39, 2);
release savepoint one;
commit;
insert into tally values (39, 3);
