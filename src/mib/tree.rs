//! All served objects in OID order: GET, GETNEXT, the test of a SET, and what to register.

use super::check::CHECK;
use super::global::GLOBAL;
use super::rfc::{v2::VRRP_V2, v3::VRRP_V3};
use super::sparse::Sparse;
use super::table::{Access, AnyTable, Look, Part, Scalar, SetError};
use super::vrrp::VRRP;
use crate::bus::msg::{Command, Source};
use crate::conf::model::Snmp;
use crate::store::Snapshot;
use crate::wire::oid::Oid;
use crate::wire::value::{Value, VarBind};

/// The objects that one configuration switches on.
#[derive(Debug, Default)]
pub struct Tree {
    parts: Vec<&'static Part>,
    /// Ascending; no object stands below another.
    objects: Vec<(Oid, Object)>,
    /// One for each object.
    sparse: Vec<Sparse>,
}

#[derive(Debug, Clone, Copy)]
enum Object {
    Scalar(&'static Scalar),
    Column(&'static dyn AnyTable, usize),
}

/// Every part there is, module by module.
pub static PARTS: [&Part; 5] = [&GLOBAL, &VRRP, &CHECK, &VRRP_V2, &VRRP_V3];

/// The name of the column that may be written and that this variable is of, whatever the configuration switches on.
pub fn writable(name: &Oid) -> Option<&'static str> {
    PARTS.iter().find_map(|part| {
        let root = Oid::new(part.module.root);
        part.tables.iter().find_map(|table| {
            let entry = root.with(table.entry());
            let column = *name.below(&entry)?.first()?;
            let found = table.columns().into_iter().find(|known| known.id == column)?;
            (found.access == Access::ReadWrite).then_some(found.name)
        })
    })
}

impl Tree {
    /// Each engine's part is there if the engine is and its `enable_snmp_...` is set; `global` with either, as in
    /// Keepalived. The RFC modules alone show nothing of KEEPALIVED-MIB.
    pub fn new(snmp: &Snmp, engines: &[Source]) -> Self {
        let vrrp = snmp.vrrp && engines.contains(&Source::Vrrp);
        let checks = snmp.checker && engines.contains(&Source::Checks);
        let mut parts: Vec<&'static Part> = vec![];
        if vrrp || checks {
            parts.push(&GLOBAL);
        }
        if vrrp {
            parts.push(&VRRP);
        }
        if checks {
            parts.push(&CHECK);
        }
        let routers = engines.contains(&Source::Vrrp);
        if snmp.rfcv2 && routers {
            parts.push(&VRRP_V2);
        }
        if snmp.rfcv3 && routers {
            parts.push(&VRRP_V3);
        }
        let mut objects = vec![];
        for part in &parts {
            let root = Oid::new(part.module.root);
            objects.extend(part.scalars.iter().map(|scalar| (root.with(scalar.id), Object::Scalar(scalar))));
            for table in part.tables {
                let entry = root.with(table.entry());
                let columns = table.columns().into_iter().enumerate();
                objects.extend(columns.map(|(at, column)| (entry.with(&[column.id]), Object::Column(*table, at))));
            }
        }
        objects.sort_by(|(a, _), (b, _)| a.cmp(b));
        let sparse = objects.iter().map(|_| Sparse::default()).collect();
        Tree { parts, objects, sparse }
    }

    /// What to register: one subtree per scalar and per column, index columns left out, as Keepalived does.
    pub fn registrations(&self) -> Vec<Oid> {
        self.objects.iter().map(|(oid, _)| oid.clone()).collect()
    }

    /// Lines for sysORTable.
    pub fn capabilities(&self) -> Vec<(Oid, String)> {
        self.parts.iter().map(|part| (Oid::new(part.module.root).with(part.root), part.capability.to_owned())).collect()
    }

    /// The value, or which exception stands in its place.
    pub fn get(&self, look: Look<'_>, name: &Oid) -> Value {
        let Some((object, instance)) = self.find(name) else { return Value::NoSuchObject };
        let value = match object {
            Object::Scalar(scalar) if *instance == [0] => (scalar.get)(look.snapshot),
            Object::Scalar(_) => None,
            Object::Column(table, column) => table.get(look, column, instance),
        };
        value.unwrap_or(Value::NoSuchInstance)
    }

    /// The first variable behind `name`, or at it with `include`; nothing at or behind `end`, unless that is empty.
    pub fn next(&self, look: Look<'_>, name: &Oid, include: bool, end: &Oid) -> Option<VarBind> {
        // The object that `name` may lie in, then those behind it.
        let behind = self.objects.partition_point(|(oid, _)| oid <= name);
        let within = behind.checked_sub(1).and_then(|at| {
            let (oid, _) = self.objects.get(at)?;
            self.next_of(at, look, name.below(oid)?, include)
        });
        let found = within.or_else(|| {
            let objects = self.objects.get(behind..).unwrap_or_default();
            let before_end = objects.iter().take_while(|(oid, _)| end.is_empty() || oid < end);
            (behind..).zip(before_end).find_map(|(at, _)| self.next_of(at, look, &[], true))
        });
        found.filter(|found| end.is_empty() || found.name < *end)
    }

    /// The scalar or column that the variable is of.
    pub fn object(&self, name: &Oid) -> Option<Oid> {
        let behind = self.objects.partition_point(|(oid, _)| oid <= name);
        let (oid, _) = self.objects.get(behind.checked_sub(1)?)?;
        name.below(oid).map(|_| oid.clone())
    }

    /// What to ask the owner for, so that the variable has this value. First comes whether it can be written at all,
    /// then the type, then the value.
    pub fn test_set(&self, snapshot: &Snapshot, varbind: &VarBind) -> Result<Command, SetError> {
        match self.find(&varbind.name) {
            Some((Object::Column(table, column), instance)) => table.set(snapshot, column, instance, &varbind.value),
            Some((Object::Scalar(_), _)) | None => Err(SetError::NotWritable),
        }
    }

    /// The first variable of one object behind `instance`, or at it with `include`.
    fn next_of(&self, at: usize, look: Look<'_>, instance: &[u32], include: bool) -> Option<VarBind> {
        let ((oid, object), sparse) = (self.objects.get(at)?, self.sparse.get(at)?);
        match object {
            Object::Scalar(scalar) if instance.is_empty() || include && *instance == [0] => {
                Some(VarBind::new(oid.with(&[0]), (scalar.get)(look.snapshot)?))
            }
            Object::Scalar(_) => None,
            Object::Column(table, column) => {
                let (instance, value) = table.next(look, *column, instance, include, sparse)?;
                Some(VarBind::new(oid.with(&instance), value))
            }
        }
    }

    fn find<'n>(&self, name: &'n Oid) -> Option<(Object, &'n [u32])> {
        let behind = self.objects.partition_point(|(oid, _)| oid <= name);
        let (oid, object) = self.objects.get(behind.checked_sub(1)?)?;
        Some((*object, name.below(oid)?))
    }
}

#[cfg(test)]
mod tests;
