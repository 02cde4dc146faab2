create index concurrently measures_2024_at on measures_2024 (at);
alter index measures_at attach partition measures_2024_at;
create index concurrently measures_2025_at on measures_2025 (at);
alter index measures_at attach partition measures_2025_at;
insert into tally values (19, 1);
