"""What a task's SQL may not do inside SQLite: reach another file, load code, or change the process it runs in.

SQLite asks this authorizer while it compiles a statement. `vacuum into` and `attach` both ask for ATTACH, and a plain
`vacuum` for ATTACH of the empty name; a name that is only computed when the statement runs arrives as None.
"""

import sqlite3

ALLOWED_PRAGMAS = frozenset(
    {
        "application_id", "auto_vacuum", "automatic_index", "busy_timeout", "cache_size", "case_sensitive_like",
        "collation_list", "compile_options", "data_version", "database_list", "defer_foreign_keys", "encoding",
        "foreign_key_check", "foreign_key_list", "foreign_keys", "freelist_count", "function_list",
        "ignore_check_constraints", "incremental_vacuum", "index_info", "index_list", "index_xinfo",
        "integrity_check", "journal_mode", "legacy_alter_table", "module_list", "optimize", "page_count", "page_size",
        "pragma_list", "query_only", "quick_check", "recursive_triggers", "reverse_unordered_selects", "synchronous",
        "table_info", "table_list", "table_xinfo", "temp_store", "user_version", "wal_checkpoint",
    }
)  # fmt: skip
FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer"})
IN_MEMORY = ("", ":memory:")


class Guard:
    """The authorizer of one connection. `reason` says what it refused; SQLite itself only says 'not authorized'."""

    def __init__(self) -> None:
        self.reason = ""

    def __call__(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_ATTACH and first not in IN_MEMORY:
            return self._refuse("`attach` and `vacuum into` are not allowed: a task may use only the file it names")
        if action == sqlite3.SQLITE_PRAGMA and (first or "").lower() not in ALLOWED_PRAGMAS:
            return self._refuse(f"`pragma {first}` is not allowed")
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in FORBIDDEN_FUNCTIONS:
            return self._refuse(f"the function {second} is not allowed")
        return sqlite3.SQLITE_OK

    def _refuse(self, reason: str) -> int:
        self.reason = reason
        return sqlite3.SQLITE_DENY
