//! Which code expands AES keystreams.

use core::fmt;

/// The code that expands AES-128-CTR keystreams and adds them up. All kernels give the same bits; a kernel can only be
/// had on a processor that can run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Portable,
}

impl Kernel {
    /// The one without instructions of its own: the `aes` crate, on every processor.
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// The fastest this processor can run.
    pub fn detect() -> Self {
        Self::PORTABLE
    }

    /// All that this processor can run, the fastest last.
    pub fn available() -> Vec<Self> {
        vec![Self::PORTABLE]
    }

    /// Its name in benchmarks.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
