"""Python imports this at its start: processes that the tests start use PostgreSQL as well."""

import stores

stores.switch()
