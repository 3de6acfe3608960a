//! All that servers have agreed on, as one that has fallen behind is sent it: the rows of the tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::ensure;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};
use serde::{Deserialize, Serialize};

/// The tables, and how many columns each has.
const TABLES: [(&str, usize); 8] = [
    ("cluster", 3),
    ("services", 2),
    ("nodes", 2),
    ("templates", 2),
    ("replicas", 7),
    ("tokens", 4),
    ("join_tokens", 6),
    ("members", 4),
];

type Rows = Vec<Vec<Cell>>;

/// The rows, by table. Clones share them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump(Arc<BTreeMap<String, Rows>>);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Cell {
    Nothing,
    Number(i64),
    Text(String),
}

/// There are secrets in it.
impl std::fmt::Debug for Cell {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

impl FromSql for Cell {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value {
            ValueRef::Null => Self::Nothing,
            ValueRef::Integer(number) => Self::Number(number),
            text => Self::Text(text.as_str()?.to_owned()),
        })
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Nothing => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Number(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

impl Dump {
    /// What is in the tables.
    pub(super) fn of(connection: &Connection) -> anyhow::Result<Self> {
        let read = |(table, columns): (&str, usize)| {
            let mut rows = connection.prepare(&format!("SELECT * FROM {table}"))?;
            ensure!(rows.column_count() == columns, "{table} has other columns than are known");
            let rows = rows.query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?;
            Ok((table.to_owned(), rows.collect::<Result<_, _>>()?))
        };
        Ok(Self(Arc::new(TABLES.into_iter().map(read).collect::<anyhow::Result<_>>()?)))
    }

    /// Has this in the tables, and nothing else.
    pub(super) fn restore(&self, connection: &Connection) -> anyhow::Result<()> {
        for (table, columns) in TABLES {
            connection.execute(&format!("DELETE FROM {table}"), [])?;
            let places = vec!["?"; columns].join(", ");
            let mut add = connection.prepare(&format!("INSERT INTO {table} VALUES ({places})"))?;
            for row in self.0.get(table).into_iter().flatten() {
                add.execute(params_from_iter(row))?;
            }
        }
        Ok(())
    }
}
