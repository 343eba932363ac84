use chorus_model::ItemId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An amount of money in the smallest unit of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Cents, pence, yen.
    pub amount: u64,
    /// ISO 4217, `EUR`.
    pub currency: Currency,
}

/// Three capital letters of ISO 4217.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// A price that is no offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotAnOffer {
    /// It is above what everybody pays.
    #[error("an offer is never above the public price: leave it out, or lower it")]
    Above,
    /// It is in another currency.
    #[error("an offer is in the currency of the public price")]
    OtherCurrency,
    /// No currency.
    #[error("a currency is three capital letters of ISO 4217, like EUR")]
    NoCurrency,
}

/// An offer: an item, what everybody pays for it, and what this person would. It cannot hold a price above the public one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    item: ItemId,
    public: Price,
    price: Price,
    name: String,
}

/// An offer that a person is shown, and why.
///
/// # Privacy
/// Which offers somebody is shown says what they like: it is for their screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Offered {
    /// The offer.
    pub offer: Offer,
    /// The items of the person's history that speak for it most.
    pub because: Vec<ItemId>,
}

impl Currency {
    /// The currency of this code.
    ///
    /// # Errors
    /// When it is not three capital letters.
    pub fn new(code: &str) -> Result<Self, NotAnOffer> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Self(letters)),
            _ => Err(NotAnOffer::NoCurrency),
        }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        String::from_utf8_lossy(&currency.0).into_owned()
    }
}

impl TryFrom<String> for Currency {
    type Error = NotAnOffer;

    fn try_from(code: String) -> Result<Self, NotAnOffer> {
        Self::new(&code)
    }
}

impl Offer {
    /// An offer of `item` at `price`, which everybody can have at `public`. `name`: what the app calls it, `for members`.
    ///
    /// # Errors
    /// When the price is above the public one, or in another currency.
    pub fn new(item: ItemId, public: Price, price: Price, name: &str) -> Result<Self, NotAnOffer> {
        if price.currency != public.currency {
            return Err(NotAnOffer::OtherCurrency);
        }
        if price.amount > public.amount {
            return Err(NotAnOffer::Above);
        }
        let name = name.to_owned();
        Ok(Self {
            item,
            public,
            price,
            name,
        })
    }

    /// The item.
    pub fn item(&self) -> ItemId {
        self.item
    }

    /// What everybody pays.
    pub fn public(&self) -> Price {
        self.public
    }

    /// What this person would pay: the public price or less.
    pub fn price(&self) -> Price {
        self.price
    }

    /// What the app calls it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn no_offer_raises_a_price() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let euro = Currency::new("EUR").unwrap();
        let (mut made, mut refused) = (0, 0);
        for _ in 0..10_000 {
            let mut price = || Price {
                amount: rng.next_u64() >> (rng.next_u32() % 64),
                currency: euro,
            };
            let (public, asked) = (price(), price());
            match Offer::new(ItemId(1), public, asked, "x") {
                Ok(offer) => {
                    made += 1;
                    assert!(offer.price().amount <= offer.public().amount);
                    assert_eq!((offer.price(), offer.public()), (asked, public));
                }
                Err(error) => {
                    refused += 1;
                    assert_eq!(error, NotAnOffer::Above);
                    assert!(asked.amount > public.amount);
                }
            }
        }
        assert!(made > 1_000 && refused > 1_000);
        let price = |currency| Price {
            amount: 5,
            currency,
        };
        let other = Offer::new(
            ItemId(1),
            price(euro),
            price(Currency::new("USD").unwrap()),
            "x",
        );
        assert_eq!(other, Err(NotAnOffer::OtherCurrency));
        assert_eq!(Currency::new("eur"), Err(NotAnOffer::NoCurrency));
    }
}
