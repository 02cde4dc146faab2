-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY posts_title ON posts (title);
ALTER TABLE posts CLUSTER ON posts_pkey;
CLUSTER;
VACUUM (ANALYZE) posts;

-- +goose Down
DROP INDEX posts_title;
