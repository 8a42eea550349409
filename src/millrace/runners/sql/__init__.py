"""What the task type `database` needs to speak SQL: connection strings, statements, parameters, drivers, rows.

Drivers are imported by their own modules and those only when a task first uses them: an idle worker carries none.
"""
