//! How much memory this process takes, as the system says.

/// The largest resident size of this process so far, in bytes; nothing where the system does not say.
pub fn peak() -> Option<u64> {
    field("VmHWM:")
}

/// The resident size of this process now, in bytes.
pub fn now() -> Option<u64> {
    field("VmRSS:")
}

/// Begins to count the peak anew, so that what was measured before does not count. Where the system cannot, the peak
/// stays that of the whole process.
pub fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn field(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
