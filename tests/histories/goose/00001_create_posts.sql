-- +goose Up
-- +goose StatementBegin
CREATE TABLE posts (
    id    int PRIMARY KEY,
    title text
);
-- +goose StatementEnd
INSERT INTO posts VALUES (1, '-- +not goose Down');

-- +goose Down
DROP TABLE posts;
