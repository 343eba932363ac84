use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::timeout;
use tonic::{Response, Status, transport::Channel};

use super::{SendError, dial::Dialler};

/// A connection that is made with the first call, and again whenever it broke.
pub(super) struct Line {
    dialler: Dialler,
    channel: Mutex<Option<Channel>>,
}

impl Line {
    pub fn new(dialler: Dialler) -> Self {
        Self {
            dialler,
            channel: Mutex::new(None),
        }
    }

    pub fn dialler(&self) -> &Dialler {
        &self.dialler
    }

    /// Lets go of the connection. The next call makes a new one.
    pub fn disconnect(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub async fn call<T, F>(
        &self,
        deadline: Duration,
        call: impl FnOnce(Channel) -> F,
    ) -> Result<T, SendError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        match timeout(deadline, call(self.channel())).await {
            Ok(Ok(reply)) => Ok(reply.into_inner()),
            Ok(Err(status)) => Err(self.fault(status.into())),
            Err(_) => Err(self.fault(SendError::deadline())),
        }
    }

    /// After a failure of the way, the next call takes a new one: the old one may be dead without saying so.
    pub fn fault(&self, error: SendError) -> SendError {
        match error {
            SendError::Unreachable(_) => {
                self.disconnect();
                self.dialler.take_fault().unwrap_or(error)
            }
            SendError::Refused { .. } | SendError::Protocol(_) => error,
        }
    }

    fn channel(&self) -> Channel {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        channel
            .get_or_insert_with(|| self.dialler.channel())
            .clone()
    }
}
