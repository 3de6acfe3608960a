//! Which container we are in, if in one: so that we never stop ourselves, whatever we are called.

use std::fs::read_to_string;

/// Docker's ids are so many hexadecimal digits.
const ID: usize = 64;

/// The id of our own container. By the files that Docker mounts into every container, or else by the control group.
#[must_use]
pub fn own_id() -> Option<String> {
    let mounts = read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    of_mounts(&mounts).or_else(|| of_groups(&groups))
}

/// `… /var/lib/docker/containers/ID/hostname /etc/hostname …`: what is mounted here, not what is mounted on the host.
fn of_mounts(mounts: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        if !["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"].contains(&point) {
            return None;
        }
        root.split_once("/containers/").and_then(|(_, rest)| id(rest))
    })
}

/// `0::/docker/ID` or `…/docker-ID.scope`.
fn of_groups(groups: &str) -> Option<String> {
    groups.lines().find_map(|line| {
        let last = line.rsplit('/').next()?;
        id(last.strip_prefix("docker-").unwrap_or(last))
    })
}

fn id(text: &str) -> Option<String> {
    let id = text.get(..ID)?;
    let ends = text[ID..].chars().next().is_none_or(|next| !next.is_ascii_alphanumeric());
    (ends && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_where_docker_leaves_it_and_nowhere_else() {
        let id = "0123456789abcdef".repeat(4);
        let mounts = format!(
            "24 1 0:22 / / rw - overlay overlay rw\n\
             90 24 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n"
        );
        assert_eq!(of_mounts(&mounts), Some(id.clone()));
        let host = format!("90 24 8:1 / /var/lib/docker/containers/{id}/mounts/shm rw - tmpfs shm rw\n");
        assert_eq!(of_mounts(&host), None);
        assert_eq!(of_groups(&format!("12:memory:/docker/{id}\n0::/")), Some(id.clone()));
        assert_eq!(of_groups(&format!("0::/system.slice/docker-{id}.scope")), Some(id));
        assert_eq!(of_groups("0::/user.slice/user-0.slice/session-1.scope\n"), None);
    }
}
