//! Which of two clients adds the mask they share, and which subtracts it.

/// Whether a mask is added to a vector or subtracted from it (modulo `2^32`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The mask is added.
    Add,
    /// The mask is subtracted.
    Subtract,
}

impl Sign {
    /// The sign client `own` uses for the mask it shares with client `other`: the lower index adds, the higher
    /// subtracts, so the two cancel in the sum (Bonawitz et al., CCS 2017, section 4).
    pub fn of(own: u32, other: u32) -> Self {
        if own < other {
            Self::Add
        } else {
            Self::Subtract
        }
    }

    /// The sign that undoes this one.
    pub fn opposite(self) -> Self {
        match self {
            Self::Add => Self::Subtract,
            Self::Subtract => Self::Add,
        }
    }
}
