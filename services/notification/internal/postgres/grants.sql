GRANT SELECT ON beginning TO runtime;
GRANT SELECT, INSERT, UPDATE, DELETE ON mails TO runtime;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoints, webhook_secrets, webhook_operations, webhook_messages, webhook_deliveries TO runtime;
GRANT SELECT, INSERT, DELETE ON webhook_attempts TO runtime;
