insert into tally select 42, 1 where current_setting('torture.mark', true) = 'set';
