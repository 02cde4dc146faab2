DROP TABLE plain_lambda.sign_in_failures;
DROP TABLE plain_lambda.sign_in_links;
DROP TABLE plain_lambda.users;
