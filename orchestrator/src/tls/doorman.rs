//! Who may have a connection.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many connections there may be of nodes, of others, handshakes included, and of others from one address.
const NODES: usize = 4096;
const OTHERS: usize = 1024;
const OF_ONE_ADDRESS: usize = 64;

/// How many connections there are, by where they come from.
type Addresses = HashMap<IpAddr, usize>;

/// Who may be in.
#[derive(Clone, Debug)]
pub(super) struct Doorman {
    nodes: Arc<Semaphore>,
    others: Arc<Semaphore>,
    addresses: Arc<Mutex<Addresses>>,
}

impl Default for Doorman {
    fn default() -> Self {
        let of = |number| Arc::new(Semaphore::new(number));
        Self { nodes: of(NODES), others: of(OTHERS), addresses: Arc::default() }
    }
}

/// A place, which is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    _permit: OwnedSemaphorePermit,
    of: Option<(IpAddr, Arc<Mutex<Addresses>>)>,
}

impl Doorman {
    pub(super) fn admit(&self, address: IpAddr) -> Option<Entry> {
        let permit = Arc::clone(&self.others).try_acquire_owned().ok()?;
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let open = addresses.entry(address).or_default();
        if *open >= OF_ONE_ADDRESS {
            return None;
        }
        *open += 1;
        drop(addresses);
        Some(Entry { _permit: permit, of: Some((address, Arc::clone(&self.addresses))) })
    }

    pub(super) fn admit_node(&self) -> Option<Entry> {
        Some(Entry { _permit: Arc::clone(&self.nodes).try_acquire_owned().ok()?, of: None })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some((address, addresses)) = &self.of else { return };
        let mut addresses = addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = addresses.get_mut(address) {
            *open -= 1;
            if *open == 0 {
                addresses.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_can_not_take_every_place_and_what_leaves_makes_room() {
        let doorman = Doorman::default();
        let [one, two]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().unwrap());
        let mut inside: Vec<_> = (0..OF_ONE_ADDRESS).map(|_| doorman.admit(one).unwrap()).collect();
        assert!(doorman.admit(one).is_none());
        assert!(doorman.admit(two).is_some());
        inside.pop();
        inside.push(doorman.admit(one).unwrap());
        drop(inside);
        assert!(doorman.addresses.lock().unwrap().is_empty());
        assert_eq!(doorman.others.available_permits(), OTHERS);
    }

    #[test]
    fn others_take_no_place_of_a_node() {
        let doorman = Doorman::default();
        let address = |n: usize| IpAddr::from([10, 0, u8::try_from(n / 250).unwrap(), u8::try_from(n % 250).unwrap()]);
        let _inside: Vec<_> = (0..OTHERS).map(|n| doorman.admit(address(n)).unwrap()).collect();
        assert!(doorman.admit(address(OTHERS)).is_none());
        assert!(doorman.admit_node().is_some());
    }
}
