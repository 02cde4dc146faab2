-- batched: orders by id, 100 rows
update orders set cents = cents + 1 where id between $1 and $2;
