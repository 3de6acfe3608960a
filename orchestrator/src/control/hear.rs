//! What containers say themselves: by what they print, and to their probes.

use super::Control;
use crate::container::Container;
use crate::marks::Answer;
use crate::picture::Event;

impl Control {
    /// Containers whose log lines ask for a restart.
    pub(super) fn hear(&mut self, alarms: Vec<(String, String)>) {
        for (id, why) in alarms {
            let Some(container) = self.observed.containers.values().find(|container| container.id == id) else {
                continue;
            };
            let now = self.now();
            let cool_down = self.readers.cool_down(&container.name, &self.desired);
            let history = self.observed.history.entry(container.name.clone()).or_default();
            if history.alarmed.is_none_or(|last| now.since(last) >= cool_down) {
                history.alarm = Some(why);
            }
        }
    }

    /// What replicas have answered to their probes, unless that was another run.
    pub(super) fn hear_answers(&mut self, answers: Vec<((String, String), Answer)>) {
        for ((id, started), answer) in answers {
            let is_run = |container: &&Container| container.id == id && container.started == started;
            let Some(container) = self.observed.containers.values().find(is_run) else { continue };
            let Some(history) = self.observed.history.get_mut(&container.name) else { continue };
            if !history.is_of_run(container) {
                continue;
            }
            match answer {
                Answer::Well => history.probed(None),
                Answer::Failed(why) => history.probed(Some(why)),
                Answer::Unasked(why) => {
                    if history.unasked() {
                        self.tell(Event::now("unprobed", &container.name, None, why));
                    }
                }
            }
        }
    }
}
