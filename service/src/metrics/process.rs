//! What the operating system knows of this process, under the names that all of Prometheus' libraries use.
//!
//! On Linux, where the services run; elsewhere there is none of it.

use prometheus_client::registry::Registry;

#[cfg(target_os = "linux")]
pub(super) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(linux::Process::new()));
}

#[cfg(not(target_os = "linux"))]
pub(super) fn register(_: &mut Registry) {}

#[cfg(target_os = "linux")]
mod linux {
    use std::fmt;

    use procfs::process::{LimitValue, Process as Proc, Stat};
    use procfs::{CurrentSI, KernelStats, page_size, ticks_per_second};
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
    use prometheus_client::metrics::MetricType;
    use prometheus_client::metrics::counter::ConstCounter;
    use prometheus_client::metrics::gauge::ConstGauge;

    #[derive(Debug)]
    pub(super) struct Process {
        /// In seconds since 1970; unknown where `/proc` says nothing.
        started: Option<f64>,
    }

    impl Process {
        pub(super) fn new() -> Self {
            let started = || {
                let booted = KernelStats::current().ok()?.btime;
                let ticks = Proc::myself().ok()?.stat().ok()?.starttime;
                Some(float(booted) + seconds(ticks))
            };
            Self { started: started() }
        }

        fn encode_all(&self, encoder: &mut DescriptorEncoder<'_>, process: &Proc, stat: &Stat) -> fmt::Result {
            let cpu = seconds(stat.utime + stat.stime);
            let help = "User and system time in seconds.";
            let about = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
            ConstCounter::new(cpu).encode(about)?;
            let resident = float(stat.rss * page_size());
            gauge(encoder, "process_resident_memory_bytes", "Memory that is in use.", resident)?;
            gauge(encoder, "process_virtual_memory_bytes", "Memory that is set aside.", float(stat.vsize))?;
            gauge(encoder, "process_threads", "Threads.", stat.num_threads)?;
            if let Ok(open) = process.fd_count() {
                gauge(encoder, "process_open_fds", "File descriptors that are open.", float(open as u64))?;
            }
            if let Ok(limits) = process.limits()
                && let LimitValue::Value(most) = limits.max_open_files.soft_limit
            {
                gauge(encoder, "process_max_fds", "Most file descriptors that may be open.", float(most))?;
            }
            match self.started {
                Some(at) => gauge(encoder, "process_start_time_seconds", "When it started, in seconds since 1970.", at),
                None => Ok(()),
            }
        }
    }

    impl Collector for Process {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            // Where it can't be read, nothing is said.
            let Ok(process) = Proc::myself() else { return Ok(()) };
            let Ok(stat) = process.stat() else { return Ok(()) };
            self.encode_all(&mut encoder, &process, &stat)
        }
    }

    fn gauge<N: EncodeGaugeValue>(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: N) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    fn seconds(ticks: u64) -> f64 {
        float(ticks) / float(ticks_per_second())
    }

    #[expect(clippy::cast_precision_loss, reason = "nothing here is anywhere near 2^52")]
    const fn float(number: u64) -> f64 {
        number as f64
    }
}
