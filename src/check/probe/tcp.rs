//! TCP_CHECK: a connection can be made. Nothing is sent or read.

use super::{Stage, connect};
use crate::check::io::Failure;
use crate::conf::model::Target;

pub async fn run(target: &Target, stage: &Stage) -> Result<(), Failure> {
    connect::tcp(target, stage).await.map(drop)
}
