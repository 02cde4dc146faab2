create index concurrently orders_state on orders (state);
create unique index concurrently on orders (updated_at, id);
