//! What a function may touch: Landlock for files and other processes, seccomp for system calls.
//!
//! Landlock repeats what the mount namespace says by other means; without namespaces it is what there is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    Scope, path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::plan::{Mode, Plan};

/// The newest Landlock rights this program knows; older kernels enforce what they can.
const LANDLOCK: ABI = ABI::V6;

/// Readable besides what the plan names, when the host's file system is seen.
const HOST_READABLE: [&str; 20] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/ssl",
];

const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Restricts this process and its descendants to the files of its plan.
pub(crate) fn restrict_files(plan: &Plan) -> Result<(), String> {
    let readable: Vec<PathBuf> = match plan.mode {
        Mode::Namespaces => vec![PathBuf::from("/")],
        Mode::Landlock | Mode::None => {
            let own = plan.read_only.iter().map(|bind| bind.source.clone());
            HOST_READABLE.iter().map(PathBuf::from).chain(own).collect()
        }
    };
    let tmp = if plan.mode == Mode::Namespaces { Path::new("/tmp") } else { &plan.tmp };
    let required = if plan.mode == Mode::Namespaces { CompatLevel::BestEffort } else { CompatLevel::HardRequirement };
    let status = rules(&readable, tmp, required).map_err(|error| format!("landlock: {error}"))?;
    if plan.mode == Mode::Landlock && status == RulesetStatus::NotEnforced {
        return Err("landlock: this kernel does not enforce it".to_owned());
    }
    Ok(())
}

fn rules(readable: &[PathBuf], tmp: &Path, required: CompatLevel) -> Result<RulesetStatus, landlock::RulesetError> {
    let read = AccessFs::from_read(LANDLOCK);
    let write_device: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::WriteFile;
    // The oldest rights must be there when nothing else protects files; newer ones come as far as the kernel has them.
    let status = Ruleset::default()
        .set_compatibility(required)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules([tmp], AccessFs::from_all(LANDLOCK)))?
        .add_rules(path_beneath_rules(DEVICES, write_device))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// System calls that no function needs and that have been ways out of sandboxes. They answer "not permitted".
const DENIED: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// The flags of `clone` that make namespaces.
const NAMESPACE_FLAGS: [libc::c_int; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// Forbids this process and its descendants the system calls above.
pub(crate) fn restrict_system_calls() -> Result<(), String> {
    let install = || -> Result<(), Box<dyn std::error::Error>> {
        let mut denied: BTreeMap<i64, Vec<SeccompRule>> = DENIED.iter().map(|call| (*call, Vec::new())).collect();
        denied.insert(libc::SYS_clone, namespace_clones()?);
        seccompiler::apply_filter(&program(denied, libc::EPERM)?)?;
        // Its flags lie in memory, where no filter can see them; libraries fall back to `clone`.
        let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        seccompiler::apply_filter(&program(unknown, libc::ENOSYS)?)?;
        Ok(())
    };
    install().map_err(|error| format!("seccomp: {error}"))
}

fn namespace_clones() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let rule = |flag: &libc::c_int| {
        let flag = u64::from(flag.cast_unsigned());
        let set = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)?;
        SeccompRule::new(vec![set])
    };
    NAMESPACE_FLAGS.iter().map(rule).collect()
}

fn program(
    calls: BTreeMap<i64, Vec<SeccompRule>>,
    error: libc::c_int,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let answer = SeccompAction::Errno(error.cast_unsigned());
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, answer, std::env::consts::ARCH.try_into()?)?;
    filter.try_into()
}
