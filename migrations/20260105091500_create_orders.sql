CREATE TYPE order_status AS ENUM ('draft', 'placed', 'paid', 'shipped', 'cancelled');

CREATE TABLE orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers (id),
    status      order_status NOT NULL DEFAULT 'draft',
    placed_at   timestamptz,
    note        text,
    CHECK (status IN ('draft', 'cancelled') OR placed_at IS NOT NULL)
);

CREATE TABLE order_lines (
    order_id    bigint NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    position    bigint NOT NULL CHECK (position > 0),
    product     text NOT NULL CHECK (product <> ''),
    quantity    bigint NOT NULL CHECK (quantity > 0),
    price_cents bigint NOT NULL CHECK (price_cents >= 0),
    PRIMARY KEY (order_id, position)
);

CREATE INDEX orders_customer_id ON orders (customer_id);
CREATE INDEX orders_open ON orders (placed_at) WHERE status IN ('placed', 'paid');
