//! The shelf: every word once, in the order of the help.
//!
//! To add one: its line in [`ALL`] and, where no library does it, a file of its own beside this one.

use crate::word::{By, Word, coreutil};
use crate::{archive, awk, bash, diff, find, grep, gzip, jq, less, proc, sed, stty, vi};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

const fn word(
    name: &'static str,
    stands_for: &'static str,
    about: &'static str,
    about_zh: &'static str,
    run: fn(Vec<OsString>) -> i32,
) -> Word {
    Word {
        name,
        about,
        about_zh,
        stands_for,
        run,
    }
}

/// The word of that name.
pub fn named(name: &OsStr) -> Option<&'static Word> {
    ALL.iter().find(|w| w.name.as_bytes() == name.as_bytes())
}

/// The word that a command line asks for, how, and its arguments from its name on. A login shell's name begins
/// with a dash.
pub fn called(args: &[OsString]) -> Option<(&'static Word, By, Vec<OsString>)> {
    let own = args.first()?.as_bytes();
    let own = own.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let own = own.strip_prefix(b"-").unwrap_or(own);
    if let Some(w) = named(OsStr::from_bytes(own)) {
        return Some((w, By::Name, args.to_vec()));
    }
    let w = named(args.get(1)?)?;
    Some((w, By::FirstWord, args.get(1..).unwrap_or_default().to_vec()))
}

/// Names that the program answers to beside these: tools that live in another room. The shell finds them as it
/// finds its own.
#[rustfmt::skip] // one name, one line
pub const NEIGHBOURS: &[&str] = &[
    "dig",
    "drill",
    "delv",
    "host",
    "nslookup",
    "whois",
    "ip",
    "ss",
    "ping",
    "fping",
    "nc",
    "traceroute",
    "mtr",
    "trip",
    "tracepath",
    "tcptraceroute",
    "arping",
    "telnet",
    "socat",
    "openssl",
    "websocat",
    "grpcurl",
    "httpd",
    "echo-server",
    "curl",
    "http",
    "https",
    "wget",
];

const COREUTILS: &str = "GNU coreutils";

/// All words.
#[rustfmt::skip] // one word, one line
pub const ALL: &[Word] = &[
    word("bash", "GNU bash", "The shell, interactive and for scripts", "命令解释器（交互与脚本）", bash::bash),
    word("sh", "dash", "The shell, as POSIX has it", "POSIX 命令解释器", bash::sh),
    word("find", "GNU findutils", "Search folders for files", "在目录中查找文件", find::find),
    word("xargs", "GNU findutils", "Run a command with arguments from the input", "用输入作为参数运行命令", find::xargs),
    word("grep", "GNU grep", "Print lines that match a pattern", "输出匹配的行", grep::grep),
    word("egrep", "GNU grep", "grep with extended expressions", "使用扩展正则的 grep", grep::egrep),
    word("fgrep", "GNU grep", "grep for fixed text", "查找固定文本的 grep", grep::fgrep),
    word("awk", "POSIX awk", "Scan lines for patterns and process them", "按模式扫描并处理文本", awk::awk),
    word("tar", "GNU tar", "Put files into an archive, list and extract it", "打包、列出与解包归档", archive::tar),
    word("gzip", "GNU gzip", "Compress files", "压缩文件", gzip::gzip),
    word("gunzip", "GNU gzip", "Decompress files", "解压文件", gzip::gunzip),
    word("zcat", "GNU gzip", "Print compressed files", "输出压缩文件的内容", gzip::zcat),
    word("less", "less", "Page through text", "分页浏览文本", less::less),
    word("vi", "vi", "Edit a file", "编辑文件", vi::vi),
    word("ps", "procps ps", "List processes", "列出进程", proc::ps),
    word("top", "procps top", "Processes that take most, refreshed", "动态显示占用最多的进程", proc::top),
    word("free", "procps free", "Memory used and free", "显示内存使用情况", proc::free),
    word("watch", "procps watch", "Run a command again and again", "周期性运行命令并显示输出", proc::watch),
    word("stty", "GNU coreutils", "Settings of the terminal", "显示或设置终端", stty::stty),
    word("sed", "GNU sed", "Edit a stream of lines", "流编辑器", sed::sed),
    word("diff", "GNU diffutils", "Compare files and folders line by line", "逐行比较文件或目录", diff::diff),
    word("cmp", "GNU diffutils", "Compare files byte by byte", "逐字节比较文件", diff::cmp),
    word("jq", "jq", "Cut, filter and change JSON", "处理 JSON", jq::jq),
    word("arch", COREUTILS, "Print the machine's architecture", "显示机器架构", |a| coreutil("arch", a, uu_arch::uumain)),
    word("b2sum", COREUTILS, "BLAKE2 checksums", "计算 BLAKE2 校验和", |a| coreutil("b2sum", a, uu_b2sum::uumain)),
    word("base32", COREUTILS, "Encode or decode base32", "base32 编解码", |a| coreutil("base32", a, uu_base32::uumain)),
    word("base64", COREUTILS, "Encode or decode base64", "base64 编解码", |a| coreutil("base64", a, uu_base64::uumain)),
    word("basename", COREUTILS, "Strip folder and suffix from a path", "去掉路径的目录与后缀", |a| coreutil("basename", a, uu_basename::uumain)),
    word("cat", COREUTILS, "Print files one after the other", "依次输出文件内容", |a| coreutil("cat", a, uu_cat::uumain)),
    word("chgrp", COREUTILS, "Change the group of files", "更改文件所属组", |a| coreutil("chgrp", a, uu_chgrp::uumain)),
    word("chmod", COREUTILS, "Change the permissions of files", "更改文件权限", |a| coreutil("chmod", a, uu_chmod::uumain)),
    word("chown", COREUTILS, "Change the owner of files", "更改文件所有者", |a| coreutil("chown", a, uu_chown::uumain)),
    word("chroot", COREUTILS, "Run a command with another root folder", "在另一根目录下运行命令", |a| coreutil("chroot", a, uu_chroot::uumain)),
    word("cksum", COREUTILS, "CRC and other checksums", "计算 CRC 等校验和", |a| coreutil("cksum", a, uu_cksum::uumain)),
    word("comm", COREUTILS, "Compare two sorted files line by line", "逐行比较两个已排序文件", |a| coreutil("comm", a, uu_comm::uumain)),
    word("cp", COREUTILS, "Copy files and folders", "复制文件和目录", |a| coreutil("cp", a, uu_cp::uumain)),
    word("cut", COREUTILS, "Print parts of each line", "截取每行的一部分", |a| coreutil("cut", a, uu_cut::uumain)),
    word("date", COREUTILS, "Print or set date and time", "显示或设置日期时间", |a| coreutil("date", a, uu_date::uumain)),
    word("dd", COREUTILS, "Copy and convert by blocks", "按块复制并转换", |a| coreutil("dd", a, uu_dd::uumain)),
    word("df", COREUTILS, "Free space of file systems", "显示文件系统剩余空间", |a| coreutil("df", a, uu_df::uumain)),
    word("dirname", COREUTILS, "Strip the last part of a path", "取路径的目录部分", |a| coreutil("dirname", a, uu_dirname::uumain)),
    word("du", COREUTILS, "Space that files take", "统计文件占用空间", |a| coreutil("du", a, uu_du::uumain)),
    word("echo", COREUTILS, "Print its arguments", "输出参数", |a| coreutil("echo", a, uu_echo::uumain)),
    word("env", COREUTILS, "Run a command in a changed environment", "在修改后的环境中运行命令", |a| coreutil("env", a, uu_env::uumain)),
    word("expand", COREUTILS, "Tabs to spaces", "制表符转空格", |a| coreutil("expand", a, uu_expand::uumain)),
    word("expr", COREUTILS, "Evaluate an expression", "计算表达式", |a| coreutil("expr", a, uu_expr::uumain)),
    word("factor", COREUTILS, "Prime factors", "分解质因数", |a| coreutil("factor", a, uu_factor::uumain)),
    word("false", COREUTILS, "Do nothing, unsuccessfully", "什么也不做，返回失败", |a| coreutil("false", a, uu_false::uumain)),
    word("fmt", COREUTILS, "Fill paragraphs", "重排段落", |a| coreutil("fmt", a, uu_fmt::uumain)),
    word("fold", COREUTILS, "Wrap long lines", "折行", |a| coreutil("fold", a, uu_fold::uumain)),
    word("groups", COREUTILS, "Groups of a user", "显示用户所属组", |a| coreutil("groups", a, uu_groups::uumain)),
    word("head", COREUTILS, "First lines of files", "显示文件开头", |a| coreutil("head", a, uu_head::uumain)),
    word("hostid", COREUTILS, "Numeric identifier of this host", "显示主机数字标识", |a| coreutil("hostid", a, uu_hostid::uumain)),
    word("hostname", COREUTILS, "Print or set the host's name", "显示或设置主机名", |a| coreutil("hostname", a, uu_hostname::uumain)),
    word("id", COREUTILS, "User and groups", "显示用户与组标识", |a| coreutil("id", a, uu_id::uumain)),
    word("install", COREUTILS, "Copy files and set their attributes", "复制文件并设置属性", |a| coreutil("install", a, uu_install::uumain)),
    word("join", COREUTILS, "Join lines of two files on a field", "按字段连接两个文件", |a| coreutil("join", a, uu_join::uumain)),
    word("kill", COREUTILS, "Send a signal to processes", "向进程发送信号", |a| coreutil("kill", a, uu_kill::uumain)),
    word("link", COREUTILS, "Make a hard link", "创建硬链接", |a| coreutil("link", a, uu_link::uumain)),
    word("ln", COREUTILS, "Make links", "创建链接", |a| coreutil("ln", a, uu_ln::uumain)),
    word("logname", COREUTILS, "Name of the login user", "显示登录名", |a| coreutil("logname", a, uu_logname::uumain)),
    word("ls", COREUTILS, "List folders", "列出目录内容", |a| coreutil("ls", a, uu_ls::uumain)),
    word("md5sum", COREUTILS, "MD5 checksums", "计算 MD5 校验和", |a| coreutil("md5sum", a, uu_md5sum::uumain)),
    word("mkdir", COREUTILS, "Make folders", "创建目录", |a| coreutil("mkdir", a, uu_mkdir::uumain)),
    word("mkfifo", COREUTILS, "Make named pipes", "创建命名管道", |a| coreutil("mkfifo", a, uu_mkfifo::uumain)),
    word("mknod", COREUTILS, "Make device files", "创建设备文件", |a| coreutil("mknod", a, uu_mknod::uumain)),
    word("mktemp", COREUTILS, "Make a temporary file or folder", "创建临时文件或目录", |a| coreutil("mktemp", a, uu_mktemp::uumain)),
    word("more", COREUTILS, "Show a file page by page", "分页显示文件", |a| coreutil("more", a, uu_more::uumain)),
    word("mv", COREUTILS, "Move or rename files", "移动或重命名文件", |a| coreutil("mv", a, uu_mv::uumain)),
    word("nice", COREUTILS, "Run a command at another priority", "以指定优先级运行命令", |a| coreutil("nice", a, uu_nice::uumain)),
    word("nl", COREUTILS, "Number lines", "为行编号", |a| coreutil("nl", a, uu_nl::uumain)),
    word("nohup", COREUTILS, "Run a command that survives a hangup", "运行不受挂断影响的命令", |a| coreutil("nohup", a, uu_nohup::uumain)),
    word("nproc", COREUTILS, "Number of processors", "显示处理器数量", |a| coreutil("nproc", a, uu_nproc::uumain)),
    word("numfmt", COREUTILS, "Numbers for people and back", "转换数字的可读格式", |a| coreutil("numfmt", a, uu_numfmt::uumain)),
    word("od", COREUTILS, "Dump files in octal and other forms", "以八进制等格式转储文件", |a| coreutil("od", a, uu_od::uumain)),
    word("paste", COREUTILS, "Join files line by line", "按行合并文件", |a| coreutil("paste", a, uu_paste::uumain)),
    word("printenv", COREUTILS, "Print environment variables", "显示环境变量", |a| coreutil("printenv", a, uu_printenv::uumain)),
    word("printf", COREUTILS, "Print by a format", "按格式输出", |a| coreutil("printf", a, uu_printf::uumain)),
    word("pwd", COREUTILS, "Print the working folder", "显示当前目录", |a| coreutil("pwd", a, uu_pwd::uumain)),
    word("readlink", COREUTILS, "Print where a link points", "显示链接指向", |a| coreutil("readlink", a, uu_readlink::uumain)),
    word("realpath", COREUTILS, "Print the real path", "显示真实路径", |a| coreutil("realpath", a, uu_realpath::uumain)),
    word("rm", COREUTILS, "Remove files and folders", "删除文件和目录", |a| coreutil("rm", a, uu_rm::uumain)),
    word("rmdir", COREUTILS, "Remove empty folders", "删除空目录", |a| coreutil("rmdir", a, uu_rmdir::uumain)),
    word("seq", COREUTILS, "Print a sequence of numbers", "输出数列", |a| coreutil("seq", a, uu_seq::uumain)),
    word("sha1sum", COREUTILS, "SHA-1 checksums", "计算 SHA-1 校验和", |a| coreutil("sha1sum", a, uu_sha1sum::uumain)),
    word("sha224sum", COREUTILS, "SHA-224 checksums", "计算 SHA-224 校验和", |a| coreutil("sha224sum", a, uu_sha224sum::uumain)),
    word("sha256sum", COREUTILS, "SHA-256 checksums", "计算 SHA-256 校验和", |a| coreutil("sha256sum", a, uu_sha256sum::uumain)),
    word("sha384sum", COREUTILS, "SHA-384 checksums", "计算 SHA-384 校验和", |a| coreutil("sha384sum", a, uu_sha384sum::uumain)),
    word("sha512sum", COREUTILS, "SHA-512 checksums", "计算 SHA-512 校验和", |a| coreutil("sha512sum", a, uu_sha512sum::uumain)),
    word("shred", COREUTILS, "Overwrite files", "覆写文件", |a| coreutil("shred", a, uu_shred::uumain)),
    word("shuf", COREUTILS, "Shuffle lines", "打乱行序", |a| coreutil("shuf", a, uu_shuf::uumain)),
    word("sleep", COREUTILS, "Wait", "等待一段时间", |a| coreutil("sleep", a, uu_sleep::uumain)),
    word("sort", COREUTILS, "Sort lines", "对行排序", |a| coreutil("sort", a, uu_sort::uumain)),
    word("split", COREUTILS, "Split a file into pieces", "分割文件", |a| coreutil("split", a, uu_split::uumain)),
    word("stat", COREUTILS, "Status of files", "显示文件状态", |a| coreutil("stat", a, uu_stat::uumain)),
    word("sum", COREUTILS, "BSD and System V checksums", "计算 BSD/System V 校验和", |a| coreutil("sum", a, uu_sum::uumain)),
    word("sync", COREUTILS, "Flush file systems to disk", "将缓存写入磁盘", |a| coreutil("sync", a, uu_sync::uumain)),
    word("tac", COREUTILS, "Print lines in reverse order", "逆序输出行", |a| coreutil("tac", a, uu_tac::uumain)),
    word("tail", COREUTILS, "Last lines of files, and what is added", "显示文件末尾及新增内容", |a| coreutil("tail", a, uu_tail::uumain)),
    word("tee", COREUTILS, "Copy input to output and to files", "将输入同时写到输出与文件", |a| coreutil("tee", a, uu_tee::uumain)),
    word("test", COREUTILS, "Check files and compare values", "检查文件与比较值", |a| coreutil("test", a, uu_test::uumain)),
    word("timeout", COREUTILS, "Run a command with a time limit", "限时运行命令", |a| coreutil("timeout", a, uu_timeout::uumain)),
    word("touch", COREUTILS, "Set times of files, create them", "更新文件时间或创建文件", |a| coreutil("touch", a, uu_touch::uumain)),
    word("tr", COREUTILS, "Translate or delete characters", "替换或删除字符", |a| coreutil("tr", a, uu_tr::uumain)),
    word("true", COREUTILS, "Do nothing, successfully", "什么也不做，返回成功", |a| coreutil("true", a, uu_true::uumain)),
    word("truncate", COREUTILS, "Set the size of a file", "设置文件大小", |a| coreutil("truncate", a, uu_truncate::uumain)),
    word("tsort", COREUTILS, "Topological sort", "拓扑排序", |a| coreutil("tsort", a, uu_tsort::uumain)),
    word("tty", COREUTILS, "Name of the terminal", "显示终端名", |a| coreutil("tty", a, uu_tty::uumain)),
    word("uname", COREUTILS, "Name and version of the system", "显示系统信息", |a| coreutil("uname", a, uu_uname::uumain)),
    word("unexpand", COREUTILS, "Spaces to tabs", "空格转制表符", |a| coreutil("unexpand", a, uu_unexpand::uumain)),
    word("uniq", COREUTILS, "Leave out repeated lines", "去除重复行", |a| coreutil("uniq", a, uu_uniq::uumain)),
    word("unlink", COREUTILS, "Remove one file", "删除单个文件", |a| coreutil("unlink", a, uu_unlink::uumain)),
    word("uptime", COREUTILS, "How long the machine runs, and its load", "显示运行时间与负载", |a| coreutil("uptime", a, uu_uptime::uumain)),
    word("users", COREUTILS, "Who is logged in, names only", "显示登录用户名", |a| coreutil("users", a, uu_users::uumain)),
    word("wc", COREUTILS, "Count lines, words and bytes", "统计行数、词数与字节数", |a| coreutil("wc", a, uu_wc::uumain)),
    word("who", COREUTILS, "Who is logged in", "显示登录用户", |a| coreutil("who", a, uu_who::uumain)),
    word("whoami", COREUTILS, "Name of the effective user", "显示当前用户名", |a| coreutil("whoami", a, uu_whoami::uumain)),
    word("yes", COREUTILS, "Print a line for ever", "不断输出一行", |a| coreutil("yes", a, uu_yes::uumain)),
    word("[", COREUTILS, "Check files and compare values", "检查文件与比较值", |a| coreutil("test", a, uu_test::uumain)),
];
