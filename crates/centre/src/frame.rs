//! What every page has: where it is, its language, and the proof that its forms carry.

use chorus_client::Language;

use crate::words;

/// A page of the bar at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Overview,
    Choices,
    Taste,
    Sharing,
    Data,
}

impl Page {
    pub const ALL: [Page; 5] = [
        Page::Overview,
        Page::Choices,
        Page::Taste,
        Page::Sharing,
        Page::Data,
    ];

    /// From any other page: all of them lie side by side.
    pub fn path(self) -> &'static str {
        match self {
            Page::Overview => "./",
            Page::Choices => "choices",
            Page::Taste => "taste",
            Page::Sharing => "sharing",
            Page::Data => "data",
        }
    }

    /// Name of its word.
    pub fn name(self) -> &'static str {
        match self {
            Page::Overview => "overview",
            Page::Choices => "choices",
            Page::Taste => "taste",
            Page::Sharing => "sharing",
            Page::Data => "data",
        }
    }

    /// The page at a path: where a change of language goes back to.
    pub fn at(path: &str) -> Self {
        let found = Self::ALL.into_iter().find(|page| page.path() == path);
        found.unwrap_or(Page::Overview)
    }
}

/// The frame around a page.
pub(crate) struct Frame {
    pub app: String,
    pub here: Page,
    pub language: Language,
    /// Every form carries it, so that no other page can send one.
    pub proof: String,
}

impl Frame {
    pub fn t<'a>(&self, name: &'a str) -> &'a str {
        words::of(self.language).get(name)
    }

    pub fn pages(&self) -> [Page; 5] {
        Page::ALL
    }

    pub fn is_here(&self, page: &Page) -> bool {
        *page == self.here
    }

    pub fn languages(&self) -> [Language; 2] {
        Language::ALL
    }

    pub fn name_of(&self, language: &Language) -> &'static str {
        words::name(*language)
    }

    pub fn speaks(&self, language: &Language) -> bool {
        *language == self.language
    }
}
