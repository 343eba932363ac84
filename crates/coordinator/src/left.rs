use chorus_model::Step;
use chorus_protocol::{Privacy, Task};

use crate::store::{self, Connection, RowError, TaskState};

/// What is left of a task's sums.
pub(crate) enum Left {
    /// It goes on with the sum of this number.
    Sum(usize),
    /// Nothing: how it ends, and why.
    End(TaskState, String),
}

impl Left {
    /// Of `task`, from sum number `next` on. With noise, a sum that clients already masked for is not taken again: they would
    /// refuse, and it is charged. Nothing is built on a sum of ranks, so the task goes on without it.
    pub fn of(connection: &Connection, task: &Task, next: usize) -> Result<Self, RowError> {
        for (number, sum) in task.sums().into_iter().enumerate().skip(next) {
            let spent = match task.privacy {
                Privacy::Off => None,
                _ => store::rounds::spent_in(connection, &task.name, &sum.name)?,
            };
            match spent {
                None => return Ok(Self::Sum(number)),
                Some(_) if sum.step == Step::Ranks => {}
                Some(round) => {
                    let reason = format!(
                        "clients already contributed to `{}` in round {round}, and with noise each sum is taken once; the \
                         model stays as it is: create a new task to train further",
                        sum.name
                    );
                    return Ok(Self::End(TaskState::BudgetExhausted, reason));
                }
            }
        }
        let reason = "all its sums are taken".to_owned();
        Ok(Self::End(TaskState::Finished, reason))
    }
}
