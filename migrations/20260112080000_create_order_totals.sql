CREATE VIEW order_totals AS
SELECT
    orders.id AS order_id,
    customers.name AS customer,
    orders.status,
    orders.placed_at,
    count(order_lines.position) AS lines,
    coalesce(sum(order_lines.quantity * order_lines.price_cents), 0) AS total_cents
FROM orders
INNER JOIN customers ON orders.customer_id = customers.id
LEFT JOIN order_lines ON orders.id = order_lines.order_id
GROUP BY orders.id, customers.name;
