"""What the API and the services work with, put together: the whole, and groups that are made by themselves."""
