create table measures (at date not null, value int) partition by range (at);
create table measures_2024 partition of measures for values from ('2024-01-01') to ('2025-01-01');
create table measures_2025 partition of measures for values from ('2025-01-01') to ('2026-01-01');
insert into measures select date '2024-01-01' + g, g from generate_series(0, 700) g;
create index measures_at on only measures (at);
insert into tally values (18, 1);
