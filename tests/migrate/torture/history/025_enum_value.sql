alter type mood add value 'mixed' before 'bad';
insert into moods values ('mixed');
alter type mood add value if not exists 'worse';
insert into moods values ('worse');
insert into tally values (25, 1);
