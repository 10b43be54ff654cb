//! What a session asks for variables; and the MIB over one snapshot as such a thing.

use crate::bus::msg::Command;
use crate::mib::table::SetError;
use crate::mib::tree::Tree;
use crate::store::Snapshot;
use crate::wire::agentx::ErrorStatus;
use crate::wire::oid::Oid;
use crate::wire::value::{Value, VarBind};

/// Variables as they are at one moment: every answer to one PDU comes from the same view.
pub trait View {
    /// The value, noSuchObject or noSuchInstance.
    fn get(&self, name: &Oid) -> Value;
    /// The first variable behind `name`, or at it with `include`; before `end`, unless that is empty.
    fn next(&self, name: &Oid, include: bool, end: &Oid) -> Option<VarBind>;
    /// What to ask the owner for, so that the variable has this value.
    fn test_set(&self, varbind: &VarBind) -> Result<Command, ErrorStatus>;
}

/// The MIB over one snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Pinned<'a> {
    pub tree: &'a Tree,
    pub snapshot: &'a Snapshot,
}

impl View for Pinned<'_> {
    fn get(&self, name: &Oid) -> Value {
        self.tree.get(self.snapshot, name)
    }

    fn next(&self, name: &Oid, include: bool, end: &Oid) -> Option<VarBind> {
        self.tree.next(self.snapshot, name, include, end)
    }

    fn test_set(&self, varbind: &VarBind) -> Result<Command, ErrorStatus> {
        self.tree.test_set(self.snapshot, varbind).map_err(|error| match error {
            SetError::NoAccess => ErrorStatus::NO_ACCESS,
            SetError::WrongType => ErrorStatus::WRONG_TYPE,
            SetError::WrongValue => ErrorStatus::WRONG_VALUE,
            SetError::NotWritable => ErrorStatus::NOT_WRITABLE,
        })
    }
}
