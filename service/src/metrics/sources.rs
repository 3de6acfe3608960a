//! What nobody has to keep: it is looked at when it is asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Destination;

/// What can be looked at, such as an engine.
pub trait Source<L>: Send + Sync {
    /// As it is now.
    fn look(&self) -> Option<L>;
}

/// What is seen of a source.
pub trait Look: Sized {
    /// The queue or topic that it is of.
    fn destination(&self) -> &Destination;

    /// Another one of the same destination: both are seen as one.
    fn add(&mut self, other: &Self);
}

/// All sources that there are. Clones share the same ones; one that is gone is no longer looked at.
pub struct Sources<L>(Arc<Mutex<Vec<Weak<dyn Source<L>>>>>);

impl<L: Look> Sources<L> {
    /// Looks at this one, too, from now on.
    pub fn watch(&self, source: Weak<dyn Source<L>>) {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|source| source.strong_count() > 0);
        sources.push(source);
    }

    /// What is seen now, one of each destination.
    #[must_use]
    pub fn look(&self) -> Vec<L> {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let looks = sources.iter().filter_map(Weak::upgrade).filter_map(|source| source.look());
        let mut by_destination = BTreeMap::<Destination, L>::new();
        for look in looks {
            match by_destination.get_mut(look.destination()) {
                Some(sum) => sum.add(&look),
                None => drop(by_destination.insert(look.destination().clone(), look)),
            }
        }
        by_destination.into_values().collect()
    }
}

impl<L> Default for Sources<L> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<L> Clone for Sources<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L> fmt::Debug for Sources<L> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sources").finish_non_exhaustive()
    }
}
