//! What the coordinator answers, as it travels.

use chorus_protocol::{
    Beacon, COHORT_MOST, Digest, Endorsement, Invitation, MaskedWith, Neighbour, Neighbourhood,
    Proof, PublicKeys, Response, Roster, Seal, SignedEntry, WITNESS_MOST,
};

use crate::{
    WireError,
    error::{at_most, fixed},
    limits::{
        LOG_BYTES_PER_ANSWER, LOG_ENTRIES_PER_ANSWER, MAX_CERTIFICATE_BYTES, MAX_COHORT,
        MAX_LOG_ENTRY_BYTES, MAX_NEIGHBOURS, MAX_PATH, MAX_PLAN_BYTES, MAX_SENTENCE_BYTES,
    },
    proto::{self, proof::Proof as Vouched, reply::Reply as Part},
    rejection::sentence,
    request::{addressed, generator},
};

impl TryFrom<Response> for proto::Reply {
    type Error = WireError;

    /// Fails for what a client would refuse to read, and for [`Response::Model`], which travels as a stream.
    /// Log entries beyond what one answer may hold are left out: the client asks for them from there.
    fn try_from(response: Response) -> Result<Self, WireError> {
        let part = match response {
            Response::Wait { milliseconds } => Part::Wait(proto::Wait { milliseconds }),
            Response::Invited(invitation) => {
                at_most(
                    "Invited.plan",
                    "bytes",
                    invitation.plan.len(),
                    MAX_PLAN_BYTES,
                )?;
                let signature = invitation.signature.to_vec();
                Part::Invited(proto::Invited {
                    plan: invitation.plan,
                    signature,
                })
            }
            Response::Finished => Part::Finished(proto::Finished {}),
            Response::Log(entries) => Part::Log(log(entries)?),
            Response::Model { .. } => {
                let reason = "a model travels as a stream of chunks".to_owned();
                return Err(WireError::Value {
                    field: "Reply.reply",
                    reason,
                });
            }
            Response::Accepted => Part::Accepted(proto::Accepted {}),
            Response::Pending => Part::Pending(proto::Pending {}),
            Response::Neighbours(neighbourhood) => Part::Neighbours(neighbours(neighbourhood)?),
            Response::Shares(shares) => {
                at_most("Shares.shares", "shares", shares.len(), MAX_NEIGHBOURS)?;
                Part::Shares(proto::Shares {
                    shares: shares.iter().map(Into::into).collect(),
                })
            }
            Response::Sharers(roster) => Part::Sharers(roster_message(&roster)?),
            Response::Survivors(roster) => Part::Survivors(roster_message(&roster)?),
            Response::Proof(proof, masked) => Part::Proof(proof_message(proof, &masked)?),
            Response::Completed { version } => Part::Completed(proto::Completed { version }),
            Response::Aborted { reason } => Part::Aborted(proto::Aborted {
                reason: sentence(reason),
            }),
        };
        Ok(Self { reply: Some(part) })
    }
}

impl TryFrom<proto::Reply> for Response {
    type Error = WireError;

    fn try_from(reply: proto::Reply) -> Result<Self, WireError> {
        let part = reply.reply.ok_or(WireError::Missing {
            field: "Reply.reply",
        })?;
        Ok(match part {
            Part::Wait(wait) => Response::Wait {
                milliseconds: wait.milliseconds,
            },
            Part::Invited(invited) => {
                at_most("Invited.plan", "bytes", invited.plan.len(), MAX_PLAN_BYTES)?;
                let signature = fixed("Invited.signature", &invited.signature)?;
                Response::Invited(Invitation {
                    plan: invited.plan,
                    signature,
                })
            }
            Part::Finished(proto::Finished {}) => Response::Finished,
            Part::Log(log) => {
                at_most(
                    "Log.entries",
                    "entries",
                    log.entries.len(),
                    LOG_ENTRIES_PER_ANSWER,
                )?;
                Response::Log(
                    log.entries
                        .into_iter()
                        .map(entry)
                        .collect::<Result<_, _>>()?,
                )
            }
            Part::Accepted(proto::Accepted {}) => Response::Accepted,
            Part::Pending(proto::Pending {}) => Response::Pending,
            Part::Neighbours(message) => Response::Neighbours(neighbourhood(message)?),
            Part::Shares(shares) => Response::Shares(addressed("Shares.shares", shares.shares)?),
            Part::Sharers(message) => Response::Sharers(roster(&message)?),
            Part::Survivors(message) => Response::Survivors(roster(&message)?),
            Part::Proof(message) => {
                let masked = masked(&message.masked)?;
                Response::Proof(proof(message)?, masked)
            }
            Part::Completed(completed) => Response::Completed {
                version: completed.version,
            },
            Part::Aborted(aborted) => {
                at_most(
                    "Aborted.reason",
                    "bytes",
                    aborted.reason.len(),
                    MAX_SENTENCE_BYTES,
                )?;
                Response::Aborted {
                    reason: aborted.reason,
                }
            }
        })
    }
}

fn log(entries: Vec<SignedEntry>) -> Result<proto::Log, WireError> {
    let mut bytes = 0;
    let mut kept = Vec::with_capacity(entries.len().min(LOG_ENTRIES_PER_ANSWER));
    for entry in entries.into_iter().take(LOG_ENTRIES_PER_ANSWER) {
        at_most(
            "SignedEntry.entry",
            "bytes",
            entry.bytes.len(),
            MAX_LOG_ENTRY_BYTES,
        )?;
        bytes += entry.bytes.len() + entry.signature.len();
        if bytes > LOG_BYTES_PER_ANSWER {
            break;
        }
        kept.push(proto::SignedEntry {
            entry: entry.bytes,
            signature: entry.signature.to_vec(),
        });
    }
    Ok(proto::Log { entries: kept })
}

fn entry(message: proto::SignedEntry) -> Result<SignedEntry, WireError> {
    at_most(
        "SignedEntry.entry",
        "bytes",
        message.entry.len(),
        MAX_LOG_ENTRY_BYTES,
    )?;
    let signature = fixed("SignedEntry.signature", &message.signature)?;
    Ok(SignedEntry {
        bytes: message.entry,
        signature,
    })
}

fn cohort(field: &'static str, size: u32) -> Result<u32, WireError> {
    at_most(field, "clients", size as usize, MAX_COHORT as usize).map(|()| size)
}

fn neighbours(neighbourhood: Neighbourhood) -> Result<proto::Neighbours, WireError> {
    let cohort = cohort("Neighbours.cohort", neighbourhood.cohort)?;
    at_most(
        "Neighbours.neighbours",
        "neighbours",
        neighbourhood.neighbours.len(),
        MAX_NEIGHBOURS,
    )?;
    let write = |neighbour: Neighbour| {
        certificate("Neighbour.certificate", &neighbour.certificate)?;
        Ok(proto::Neighbour {
            index: neighbour.index,
            certificate: neighbour.certificate,
            cipher_key: neighbour.keys.cipher.to_vec(),
            mask_key: neighbour.keys.mask.to_vec(),
            signature: neighbour.signature.to_vec(),
            generator: proto::Generator::from(neighbour.keys.generator).into(),
            path: path_message("Neighbour.path", &neighbour.path)?,
        })
    };
    Ok(proto::Neighbours {
        index: neighbourhood.index,
        cohort,
        key_root: neighbourhood.key_root.0.to_vec(),
        cohort_root: neighbourhood.cohort_root.0.to_vec(),
        path: path_message("Neighbours.path", &neighbourhood.path)?,
        beacon: neighbourhood.beacon.map(beacon_message).transpose()?,
        members: keys_message("Neighbours.members", neighbourhood.members, WITNESS_MOST)?,
        neighbours: neighbourhood
            .neighbours
            .into_iter()
            .map(write)
            .collect::<Result<_, _>>()?,
    })
}

fn neighbourhood(message: proto::Neighbours) -> Result<Neighbourhood, WireError> {
    let cohort = cohort("Neighbours.cohort", message.cohort)?;
    at_most(
        "Neighbours.neighbours",
        "neighbours",
        message.neighbours.len(),
        MAX_NEIGHBOURS,
    )?;
    let read = |neighbour: proto::Neighbour| {
        certificate("Neighbour.certificate", &neighbour.certificate)?;
        Ok(Neighbour {
            index: neighbour.index,
            keys: PublicKeys {
                cipher: fixed("Neighbour.cipher_key", &neighbour.cipher_key)?,
                mask: fixed("Neighbour.mask_key", &neighbour.mask_key)?,
                generator: generator("Neighbour.generator", neighbour.generator)?,
            },
            path: path("Neighbour.path", &neighbour.path)?,
            signature: fixed("Neighbour.signature", &neighbour.signature)?,
            certificate: neighbour.certificate,
        })
    };
    Ok(Neighbourhood {
        index: message.index,
        cohort,
        key_root: Digest(fixed("Neighbours.key_root", &message.key_root)?),
        cohort_root: Digest(fixed("Neighbours.cohort_root", &message.cohort_root)?),
        path: path("Neighbours.path", &message.path)?,
        beacon: message.beacon.map(beacon).transpose()?,
        members: keys("Neighbours.members", &message.members, WITNESS_MOST)?,
        neighbours: message
            .neighbours
            .into_iter()
            .map(read)
            .collect::<Result<_, _>>()?,
    })
}

fn certificate(field: &'static str, der: &[u8]) -> Result<(), WireError> {
    at_most(field, "bytes", der.len(), MAX_CERTIFICATE_BYTES)
}

fn path_message(field: &'static str, path: &[Digest]) -> Result<Vec<Vec<u8>>, WireError> {
    at_most(field, "nodes", path.len(), MAX_PATH)?;
    Ok(path.iter().map(|node| node.0.to_vec()).collect())
}

fn path(field: &'static str, nodes: &[Vec<u8>]) -> Result<Vec<Digest>, WireError> {
    at_most(field, "nodes", nodes.len(), MAX_PATH)?;
    let read = |node: &Vec<u8>| fixed(field, node).map(Digest);
    nodes.iter().map(read).collect()
}

pub(crate) fn beacon_message(beacon: Beacon) -> Result<proto::Beacon, WireError> {
    certificate("Beacon.certificate", &beacon.certificate)?;
    Ok(proto::Beacon {
        certificate: beacon.certificate,
        randomness: beacon.randomness.to_vec(),
        signature: beacon.signature.to_vec(),
    })
}

pub(crate) fn beacon(message: proto::Beacon) -> Result<Beacon, WireError> {
    certificate("Beacon.certificate", &message.certificate)?;
    Ok(Beacon {
        randomness: fixed("Beacon.randomness", &message.randomness)?,
        signature: fixed("Beacon.signature", &message.signature)?,
        certificate: message.certificate,
    })
}

pub(crate) fn seal_message(seal: Seal) -> Result<proto::Seal, WireError> {
    certificate("Seal.certificate", &seal.certificate)?;
    Ok(proto::Seal {
        certificate: seal.certificate,
        signature: seal.signature.to_vec(),
    })
}

pub(crate) fn seal(message: proto::Seal) -> Result<Seal, WireError> {
    certificate("Seal.certificate", &message.certificate)?;
    Ok(Seal {
        signature: fixed("Seal.signature", &message.signature)?,
        certificate: message.certificate,
    })
}

/// Keys of a whole cohort, one after the other.
fn keys_message(
    field: &'static str,
    keys: Vec<[u8; 32]>,
    most: usize,
) -> Result<Vec<u8>, WireError> {
    at_most(field, "clients", keys.len(), most)?;
    Ok(keys.into_iter().flatten().collect())
}

fn keys(field: &'static str, bytes: &[u8], most: usize) -> Result<Vec<[u8; 32]>, WireError> {
    let (keys, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(WireError::Length {
            field,
            expected: 32 * (keys.len() as u64 + 1),
            found: bytes.len() as u64,
        });
    }
    at_most(field, "clients", keys.len(), most)?;
    Ok(keys.to_vec())
}

fn masked(messages: &[proto::MaskedWith]) -> Result<Vec<MaskedWith>, WireError> {
    at_most("Proof.masked", "neighbours", messages.len(), MAX_NEIGHBOURS)?;
    let read = |message: &proto::MaskedWith| {
        Ok(MaskedWith {
            index: message.index,
            signature: fixed("MaskedWith.signature", &message.signature)?,
        })
    };
    messages.iter().map(read).collect()
}

fn proof_message(proof: Proof, masked: &[MaskedWith]) -> Result<proto::Proof, WireError> {
    at_most("Proof.masked", "neighbours", masked.len(), MAX_NEIGHBOURS)?;
    let proof = match proof {
        Proof::Witness(seal) => Vouched::Witness(seal_message(seal)?),
        Proof::Cohort {
            members,
            endorsements,
        } => {
            cohort_proof(members.len(), endorsements.len())?;
            let write = |endorsement: Endorsement| {
                certificate("Endorsement.certificate", &endorsement.certificate)?;
                Ok(proto::Endorsement {
                    index: endorsement.index,
                    certificate: endorsement.certificate,
                    signature: endorsement.signature.to_vec(),
                })
            };
            Vouched::Cohort(proto::CohortProof {
                members: members.into_iter().flatten().collect(),
                endorsements: endorsements
                    .into_iter()
                    .map(write)
                    .collect::<Result<_, WireError>>()?,
            })
        }
    };
    let write = |signed: &MaskedWith| proto::MaskedWith {
        index: signed.index,
        signature: signed.signature.to_vec(),
    };
    Ok(proto::Proof {
        proof: Some(proof),
        masked: masked.iter().map(write).collect(),
    })
}

fn proof(message: proto::Proof) -> Result<Proof, WireError> {
    match message.proof {
        None => Err(WireError::Missing {
            field: "Proof.proof",
        }),
        Some(Vouched::Witness(message)) => seal(message).map(Proof::Witness),
        Some(Vouched::Cohort(message)) => {
            let members = keys("CohortProof.members", &message.members, COHORT_MOST)?;
            cohort_proof(members.len(), message.endorsements.len())?;
            let read = |endorsement: proto::Endorsement| {
                certificate("Endorsement.certificate", &endorsement.certificate)?;
                Ok(Endorsement {
                    index: endorsement.index,
                    signature: fixed("Endorsement.signature", &endorsement.signature)?,
                    certificate: endorsement.certificate,
                })
            };
            Ok(Proof::Cohort {
                members,
                endorsements: message
                    .endorsements
                    .into_iter()
                    .map(read)
                    .collect::<Result<_, WireError>>()?,
            })
        }
    }
}

fn cohort_proof(members: usize, endorsements: usize) -> Result<(), WireError> {
    at_most("CohortProof.members", "clients", members, COHORT_MOST)?;
    let field = "CohortProof.endorsements";
    at_most(field, "clients", endorsements, COHORT_MOST)
}

fn roster_message(roster: &Roster) -> Result<proto::Roster, WireError> {
    let size = cohort("Roster.size", roster.size())?;
    Ok(proto::Roster {
        size,
        bits: roster.bits().to_vec(),
    })
}

fn roster(message: &proto::Roster) -> Result<Roster, WireError> {
    let size = cohort("Roster.size", message.size)?;
    let expected = u64::from(size).div_ceil(8);
    if message.bits.len() as u64 != expected {
        let found = message.bits.len() as u64;
        return Err(WireError::Length {
            field: "Roster.bits",
            expected,
            found,
        });
    }
    Roster::from_bits(size, &message.bits).ok_or_else(|| {
        let reason = format!("a bit beyond the cohort of {size} is set");
        WireError::Value {
            field: "Roster.bits",
            reason,
        }
    })
}
