begin isolation level repeatable read;
insert into tally select 38, 1 where current_setting('transaction_isolation') = 'repeatable read';
commit and chain;
insert into tally select 38, 2 where current_setting('transaction_isolation') = 'repeatable read';
commit;
insert into tally select 38, 3 where current_setting('transaction_isolation') = 'read committed';
